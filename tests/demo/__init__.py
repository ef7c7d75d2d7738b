# SPDX-License-Identifier: Apache-2.0
"""The demo: MT5 Bridge on a real local Kubernetes, from nothing to an answered request.

`python -m demo up` is a fixed list of steps, each of which may be run again at any time. The e2e
tests use the same steps on a cluster of their own, so what a newcomer sees is what is tested.
"""
