"""Subtitles and chat logs of streams, turned into dialogues to learn from."""
