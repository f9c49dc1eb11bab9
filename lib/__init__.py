"""The small library behind the notebooks. Importing any module needs no GPU and no network."""
