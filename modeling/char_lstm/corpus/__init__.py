"""From any text to a corpus: cleaned, normalised, cut into rows and encoded, stored or streamed."""
