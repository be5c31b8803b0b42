"""What others have published, shipped with the package; reads it with numpy alone.

figures = qam_torch.published()
figures.curve("qam_e", "cube-triple-play", task=2).success     # also "QAM-E"
"""

from qam_torch.paper.results import ALGOS, CITATION, RQL_CITATION, Curve, Figure, Published, domain_of, published

__all__ = ["ALGOS", "CITATION", "RQL_CITATION", "Curve", "Figure", "Published", "domain_of", "published"]
