"""A segmenter applied to volumes: normalised once, tiled, blended, decoded on the volume's own grid."""
