"""From files to batches of pairs: manifests, banks of recordings, pairs, loader. numpy only."""
