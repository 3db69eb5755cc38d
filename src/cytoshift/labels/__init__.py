"""Label image -> label image or table: ids, overlaps, boundaries, sizes, filters. 0 is background, ids are positive."""
