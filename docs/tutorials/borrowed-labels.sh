#!/usr/bin/env bash
# Labels of electron microscopy for expansion microscopy, which has none.
. "$(dirname "$0")/tutorial.sh"

# [images]
cytoshift synth em-to-expansion-2d -n 8 -o pair
# [new]
cytoshift new cysgan --source pair/source/images pair/source/labels --target pair/target/images --start nuclei-2d -o cysgan.yaml
# [train]
cytoshift train cysgan.yaml train.steps=150
# [segment]
cytoshift segment runs/cysgan/model pair/target/images -o labels
# [lower]
cytoshift new supervised --source pair/source/images pair/source/labels --target pair/target/images --start nuclei-2d -o lower.yaml
cytoshift train lower.yaml train.steps=150 source.appearance.repaint=0
cytoshift segment runs/lower/model pair/target/images -o labels-lower
# [evaluate]
cytoshift evaluate pair/target/labels labels
cytoshift evaluate pair/target/labels labels-lower
# [end]

keep pair/contact.png contact.jpg
keep cysgan.png new.jpg
keep "$(newest runs/cysgan)" samples.jpg
keep labels/report/overview.png overview.jpg
