#!/usr/bin/env bash
# Label, correct a part by hand, train on with it.
. "$(dirname "$0")/tutorial.sh"

# [images]
cytoshift synth em-to-expansion-2d -n 8 -o made
mkdir -p corrected/images rest/images truth/corrected truth/rest
cp made/target/images/*_00[0-3].tif corrected/images/
cp made/target/images/*_00[4-7].tif rest/images/
cp made/target/labels/*_00[0-3].tif truth/corrected/
cp made/target/labels/*_00[4-7].tif truth/rest/
# [first]
cytoshift segment nuclei-2d corrected/images -o first --also rois
cytoshift segment nuclei-2d rest/images -o before
# [correct]
cytoshift convert truth/corrected -o corrected/rois --to rois
cytoshift convert corrected/rois --like corrected/images -o corrected/labels --to tif
# [compare]
cytoshift evaluate corrected/labels first
# [new]
cytoshift new supervised --source corrected/images corrected/labels --images corrected/images --assume-same-size --start nuclei-2d -o run.yaml
# [train]
cytoshift train run.yaml train.steps=300
# [segment]
cytoshift segment runs/run/model rest/images -o after
# [evaluate]
cytoshift evaluate truth/rest before
cytoshift evaluate truth/rest after
# [end]

keep first/report/overview.png first.jpg
keep after/report/overview.png after.jpg
