"""Ports, taken before anything is loaded, and what is said of one that cannot be had."""

import contextlib
import socket

import grpc

from components.errors import ServingError


def bind_tcp(host: str, port: int) -> socket.socket:
    """A socket bound to a port for REST, not listening yet. Raises ServingError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as on_failure:
        # The protocol is spelt out: asyncio turns off Nagle's delay only where it sees that a socket is TCP.
        bound_socket = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        # A port is free again as soon as its last server has gone, whatever connections linger.
        bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound_socket.bind((host, port))
        except OSError as error:
            raise ServingError(_taken("--rest_api_port", host, port, error.strerror or str(error))) from error
        on_failure.pop_all()
    return bound_socket


def bind_grpc(server: grpc.Server, host: str, port: int) -> int:
    """Let a gRPC server take a port; its number. Raises ServingError."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServingError(_taken("--port", host, port, str(error))) from error


def bind_unix(server: grpc.Server, path: str) -> None:
    """Let a gRPC server take a Unix socket. Raises ServingError."""
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise ServingError(
            f"cannot listen on the Unix socket {path}: {error}; give --grpc_socket_path a path that can be made"
        ) from error


def _taken(flag: str, host: str, port: int, reason: str) -> str:
    return f"cannot listen on {host}:{port}: {reason}; give {flag} a port that is free, or 0 for any"
