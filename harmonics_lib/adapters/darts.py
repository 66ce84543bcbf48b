"""``HarmonicModel``: ``forecast`` as a model of darts, by way of that of statsforecast."""

from darts.models import StatsForecastModel

from harmonics_lib.adapters import FORECAST
from harmonics_lib.adapters.statsforecast import Harmonic


class HarmonicModel(StatsForecastModel):
    """The average of candidates by their earlier errors; see ``harmonics_lib.forecast``.

    Args:
        method: "forecast", or a forecaster of windows or its name, such as "auto, given nothing".
        seasons: lengths of seasons in samples that "forecast" tries beside those that it finds.
        periods: periods in samples of sinusoids that the series may contain.
        options: those of ``StatsForecastModel``: ``quantiles``, ``random_state``, ``add_encoders``.

    Example:
        >>> from darts.datasets import AirPassengersDataset
        >>> from harmonics_lib.adapters.darts import HarmonicModel
        >>> ahead = HarmonicModel().fit(AirPassengersDataset().load()).predict(12, num_samples=100)
    """

    def __init__(self, method=FORECAST, seasons=None, periods=None, **options):
        super().__init__(Harmonic(method, seasons, periods), **options)
