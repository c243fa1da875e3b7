"""The stream tier's counters: new files of the event log → items by the hour → what had most events lately."""
