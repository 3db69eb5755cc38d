"""What every other room stands on: errors, voxel sizes, normalisation, settings, random streams, block geometry."""
