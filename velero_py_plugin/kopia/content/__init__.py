"""Contents in packs: pack layout, pack indexes, index blobs in epochs, sessions, reading and writing."""
