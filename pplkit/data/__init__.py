"""Images, videos and crops; the prepared data set; streaming; occlusion."""
