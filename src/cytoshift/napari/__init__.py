"""A plugin of napari: readers, samples and widgets, from what the other rooms do. Nothing imports this room.

    napari.yaml     what napari reads of it
    glue.py         layers <-> volumes
    reader.py       results and OME-Zarr -> layers         samples.py     phantoms -> layers
    widgets.py      typed functions that napari makes widgets of
    training_widget.py  a training in a process of its own, watched from a thread, with curves and samples

Needs the extra `napari`.
"""
