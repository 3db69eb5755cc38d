#!/usr/bin/env bash
# Raw volumes to objects, without a label anywhere.
. "$(dirname "$0")/tutorial.sh"

# [images]
cytoshift synth hl60-3d-50 -n 3 --shape 32,96,96 -o phantoms
# [info]
cytoshift info phantoms/images
# [new]
cytoshift new adgan --images phantoms/images -o run.yaml
# [train]
cytoshift train run.yaml train.steps=500
# [segment]
cytoshift segment runs/run/model phantoms/images -o labels
# [trust]
cytoshift trust labels phantoms/images --model runs/run/model
# [evaluate]
cytoshift evaluate phantoms/labels labels -o compared.html --images phantoms/images
# [end]

keep thumbnail.png thumbnail.jpg
keep run.png new.jpg
keep "$(newest runs/run)" samples.jpg
keep labels/report/overview.png overview.jpg
