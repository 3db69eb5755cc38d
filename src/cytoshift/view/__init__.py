"""Images, labels and what is known of their objects in a browser: neuroglancer, served from this machine alone.

properties.py   tables beside the labels -> properties of their ids
virtual_zarr.py any lazy volume -> OME-Zarr that exists while somebody looks at it
layers.py       what is shown -> the state of neuroglancer
server.py       both behind a token on 127.0.0.1, and the picture of a headless browser
"""
