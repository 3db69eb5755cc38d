#!/usr/bin/env bash
# Masks of mitochondria in one electron microscope for images of another.
. "$(dirname "$0")/tutorial.sh"

python "$HERE/two_microscopes.py" microscopes

# [new]
cytoshift new mmd --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --alike --represent semantic -o mmd.yaml
# [train]
cytoshift train mmd.yaml --max-minutes 1.2
cytoshift segment runs/mmd/model microscopes/second/images -o labels-mmd
# [others]
cytoshift new ynet --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --alike --represent semantic -o ynet.yaml
cytoshift train ynet.yaml --max-minutes 1.2
cytoshift segment runs/ynet/model microscopes/second/images -o labels-ynet
# [lower]
cytoshift new supervised --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --alike --represent semantic -o lower.yaml
cytoshift train lower.yaml --max-minutes 1.2
cytoshift segment runs/lower/model microscopes/second/images -o labels-lower
# [evaluate]
cytoshift evaluate labels-mmd microscopes/second/labels
cytoshift evaluate labels-ynet microscopes/second/labels
cytoshift evaluate labels-lower microscopes/second/labels
# [end]

keep mmd.png new.jpg
keep "$(newest runs/mmd)" samples.jpg
keep labels-mmd/report/overview.png overview.jpg
