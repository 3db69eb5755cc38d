#!/usr/bin/env bash
# Masks of mitochondria in one electron microscope for images of another.
. "$(dirname "$0")/tutorial.sh"

python "$HERE/two_microscopes.py" microscopes

# [new]
cytoshift new dann --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --assume-same-size --represent semantic -o dann.yaml
# [train]
cytoshift train dann.yaml train.steps=400
cytoshift segment runs/dann/model microscopes/second/images -o labels-dann
# [others]
cytoshift new mean_teacher --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --assume-same-size --represent semantic -o teacher.yaml
cytoshift train teacher.yaml train.steps=400
cytoshift segment runs/teacher/model microscopes/second/images -o labels-teacher
# [lower]
cytoshift new supervised --source microscopes/first/images microscopes/first/masks --source-mask-above 0 \
    --target microscopes/second/images --assume-same-size --represent semantic -o lower.yaml
cytoshift train lower.yaml train.steps=400 options.norm=batch
cytoshift segment runs/lower/model microscopes/second/images -o labels-lower
# [evaluate]
cytoshift evaluate microscopes/second/labels labels-dann
cytoshift evaluate microscopes/second/labels labels-teacher
cytoshift evaluate microscopes/second/labels labels-lower
# [end]

keep dann.png new.jpg
keep "$(newest runs/dann)" samples.jpg
keep labels-dann/report/overview.png overview.jpg
