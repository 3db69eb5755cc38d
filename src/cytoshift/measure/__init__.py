"""What raw images tell about their objects before anybody has labelled one: polarity, sizes, density, shape."""
