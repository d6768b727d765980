"""From pictures as people have them to a prepared data set: layouts, decoding, duplicates, splits, report."""
