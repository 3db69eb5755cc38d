#!/usr/bin/env bash
# A volume that is treated as if it did not fit.
. "$(dirname "$0")/tutorial.sh"

# [images]
cytoshift synth hl60-3d-50 -n 2 --shape 32,96,96 -o phantoms
cytoshift synth hl60-3d-50 --shape 64,256,256 -o brain.ome.zarr
# [train]
cytoshift new adgan --images phantoms/images -o run.yaml
cytoshift train run.yaml train.steps=400
# [convert]
cytoshift convert phantoms/images/hl60-3d-50_000.tif stack.ome.zarr --memory 1GB
cytoshift info stack.ome.zarr
# [plan]
cytoshift plan brain.ome.zarr --workers 2 --memory 2GB
cytoshift plan --shape 10000,10000,10000 --workers 64 --memory 16GB
# [segment]
cytoshift segment runs/run/model brain.ome.zarr -o labels.ome.zarr --block 48,128,128 --workers 2
# [trust]
cytoshift trust labels.ome.zarr brain.ome.zarr --model runs/run/model
# [evaluate]
cytoshift evaluate brain.ome.zarr::labels/truth labels.ome.zarr --memory 1GB
# [end]

keep labels.overview.png overview.jpg
