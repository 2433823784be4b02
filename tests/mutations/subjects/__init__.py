"""All mutations, by subject."""

from . import corpus, generation, hub, inspection, loading, model, page, space, training

SUBJECTS = (model, generation, loading, corpus, training, hub, inspection, page, space)
MUTATIONS = [mutation for subject in SUBJECTS for mutation in subject.MUTATIONS]
