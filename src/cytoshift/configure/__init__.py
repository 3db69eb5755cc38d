"""Settings of a run, written from what raw images, labels or other programs' files say."""
