# SPDX-License-Identifier: Apache-2.0
"""The test cluster: a real Kubernetes from ordinary package registries, without Docker.

`ControlPlane` is a Kubernetes API with its controllers and, if wanted, fake nodes; `Node` adds a
real one that runs pods. `docs/test-cluster.md` tells how to use it, from a shell and from pytest.
Nothing here knows what the project under test does.
"""
