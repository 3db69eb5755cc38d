#!/usr/bin/env bash
# Nuclei and their Golgi, each in a channel of its own, without a label.
. "$(dirname "$0")/tutorial.sh"

# [images]
cytoshift synth retina -n 3 --shape 32,96,96 -o stacks
# [new]
cytoshift new mask_cyclegan --images stacks/images --channels golgi=0,nuclei=1 --cells retina -o run.yaml
# [train]
cytoshift train run.yaml train.steps=400
# [segment]
cytoshift segment runs/run/model stacks/images --channel 0,1 -o labels
# [evaluate]
cytoshift evaluate stacks/labels labels --pairs
# [end]

keep stacks/contact.png contact.jpg
keep run.png new.jpg
keep "$(newest runs/run)" samples.jpg
keep labels/report/overview.png overview.jpg
