"""Text as tokens on disk: written once by `training.tokenise`, read in any order by the loader."""
