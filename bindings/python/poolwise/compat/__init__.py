"""Other libraries' classes and arguments over Poolwise: change the import line, keep the rest.

    from poolwise.compat.skactiveml import UncertaintySampling    # was: skactiveml.pool
    from poolwise.compat.modal import margin_sampling             # was: modAL.uncertainty
    from poolwise.compat.small_text import BreakingTies           # was: small_text.query_strategies
    from poolwise.compat.baal import BALD                         # was: baal.active.heuristics
    from poolwise.compat.bmdal import select_batch                # was: bmdal_reg.bmdal.algorithms
    from poolwise.compat.apricot import FacilityLocationSelection # was: apricot
    from poolwise.compat.submodlib import FacilityLocationFunction
    from poolwise.compat.anomalib import KCenterGreedy            # was: anomalib.models.components

None of them needs the other library. Each says in its first lines what it picks otherwise, and why; all of it stands in
docs/same_name_different_picks.md. Ties go to the lower row everywhere, and what Poolwise refuses is refused.
"""
