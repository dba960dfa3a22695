"""Images like one image, copies, and images like no other."""
