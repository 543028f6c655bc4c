"""The key pair that the tests use, and orders to place with it."""

from cexnet.credentials import Credentials, Secret
from cexnet.types import OrderRequest, Side

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
API_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

CREDENTIALS = Credentials(API_KEY, Secret(API_SECRET))
LIMIT_BUY = OrderRequest("BTCUSDT", Side.BUY, "0.5", "50000.10")
