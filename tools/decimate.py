# SPDX-License-Identifier: Apache-2.0
"""Simplifies a triangle mesh by half-edge collapses, cheapest quadric error first.

Vertices that stay do not move, so that blend shapes and skinning weights stay true of them.
Garland and Heckbert, Surface simplification using quadric error metrics, SIGGRAPH 1997.
"""

import heapq
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_LENGTH_SHARE: Final = 1e-3
"""Share of an edge's squared length that counts as squared error: it keeps triangles compact."""

_BORDER_WEIGHT: Final = 3.0
"""How much more it costs to move a border than a surface."""

_LEAST_COSINE: Final = 0.25
"""Between a triangle's normals before and after a collapse."""


class Decimation:
    """A mesh that loses vertices one by one.

    Texture coordinates belong to corners. A vertex on a seam goes along the seam only, so that
    each of its corners finds the corner of the other vertex on its own side.
    """

    def __init__(
        self, vertices: F64, faces: I64, corners: I64, features: F64, importance: F64
    ) -> None:
        """Take a mesh.

        Args:
            vertices: [V, 3].
            faces: vertices of each triangle, [T, 3].
            corners: texture coordinates of each triangle, [T, 3].
            features: in metres, [V, D]; vertices of unlike features are not merged willingly.
            importance: factor on the error at each vertex, [V].
        """
        self._vertices, self._features, self._importance = vertices, features, importance
        self.faces, self.corners = faces.copy(), corners.copy()
        self.alive = np.ones(len(faces), bool)
        self._around: list[set[int]] = [set() for _ in vertices]
        for triangle, face in enumerate(self.faces):
            for vertex in face:
                self._around[vertex].add(triangle)
        self._version = np.zeros(len(vertices), np.int64)
        self._quadrics, self._areas = self._start()

    def run(self, triangles: int) -> None:
        """Collapse edges until no more than ``triangles`` are left, or none can go."""
        heap: list[tuple[float, int, int, int, int]] = []
        for vertex in range(len(self._vertices)):
            self._offer(vertex, heap)
        left = int(self.alive.sum())
        while left > triangles and heap:
            _, start, end, first, second = heapq.heappop(heap)
            if first != self._version[start] or second != self._version[end]:
                continue
            moves = self._corner_moves(start, end)
            if moves is None or not self._stays_a_surface(start, end):
                continue
            left -= self._collapse(start, end, moves)
            for vertex in self._neighbours(end) | {end}:
                self._version[vertex] += 1
            for vertex in self._neighbours(end) | {end}:
                self._offer(vertex, heap)

    def _start(self) -> tuple[F64, F64]:
        quadrics = np.zeros((len(self._vertices), 4, 4))
        areas = np.zeros(len(self._vertices))
        for face in self.faces:
            corner = self._vertices[face]
            normal = np.cross(corner[1] - corner[0], corner[2] - corner[0])
            area = 0.5 * np.linalg.norm(normal)
            normal = normal / max(2 * area, 1e-15)
            plane = np.append(normal, -normal @ corner[0])
            areas[face] += area / 3
            quadrics[face] += area / 3 * np.outer(plane, plane)
            for k in range(3):
                start, end = face[k], face[(k + 1) % 3]
                if len(self._around[start] & self._around[end]) == 1:
                    along = self._vertices[end] - self._vertices[start]
                    side = np.cross(along, normal)
                    side = side / max(np.linalg.norm(side), 1e-15)
                    wall = np.append(side, -side @ self._vertices[start])
                    weight = _BORDER_WEIGHT * (along @ along)
                    quadrics[[start, end]] += weight * np.outer(wall, wall)
        return quadrics * self._importance[:, None, None], areas

    def _neighbours(self, vertex: int) -> set[int]:
        found = {int(v) for triangle in self._around[vertex] for v in self.faces[triangle]}
        return found - {vertex}

    def _offer(self, start: int, heap: list[tuple[float, int, int, int, int]]) -> None:
        """Put all collapses of a vertex on the heap."""
        for end in self._neighbours(start):
            point = np.append(self._vertices[end], 1.0)
            error = point @ (self._quadrics[start] + self._quadrics[end]) @ point
            edge = self._vertices[end] - self._vertices[start]
            unlike = self._features[end] - self._features[start]
            spread = _LENGTH_SHARE * (edge @ edge) + unlike @ unlike
            error += self._importance[start] * self._areas[start] * spread
            versions = int(self._version[start]), int(self._version[end])
            heapq.heappush(heap, (float(error), start, end, *versions))

    def _corner_moves(self, start: int, end: int) -> dict[int, int] | None:
        """Return where each corner of ``start`` goes, or None where one has no place to go."""
        moves: dict[int, int] = {}
        for triangle in self._around[start] & self._around[end]:
            face = self.faces[triangle].tolist()
            own = int(self.corners[triangle, face.index(start)])
            other = int(self.corners[triangle, face.index(end)])
            if moves.setdefault(own, other) != other:
                return None
        for triangle in self._around[start]:
            if (
                int(self.corners[triangle, self.faces[triangle].tolist().index(start)])
                not in moves
            ):
                return None
        return moves

    def _stays_a_surface(self, start: int, end: int) -> bool:
        shared = self._around[start] & self._around[end]
        if len(self._neighbours(start) & self._neighbours(end)) != len(shared):
            return False
        if len(shared) == 1 and not self._on_border(start):
            return False
        if len(shared) == 2 and self._on_border(start):
            return False
        for triangle in self._around[start] - shared:
            before = self._vertices[self.faces[triangle]]
            after = before.copy()
            after[self.faces[triangle].tolist().index(start)] = self._vertices[end]
            old = np.cross(before[1] - before[0], before[2] - before[0])
            new = np.cross(after[1] - after[0], after[2] - after[0])
            size = np.linalg.norm(old) * np.linalg.norm(new)
            if old @ new < _LEAST_COSINE * size or np.linalg.norm(new) < 1e-12:
                return False
            longest = max(np.linalg.norm(after[k] - after[k - 1]) for k in range(3))
            if np.linalg.norm(new) < 0.12 * longest**2:  # a sliver
                return False
        return True

    def _on_border(self, vertex: int) -> bool:
        return any(
            len(self._around[vertex] & self._around[other]) == 1
            for other in self._neighbours(vertex)
        )

    def _collapse(self, start: int, end: int, moves: dict[int, int]) -> int:
        """Merge ``start`` into ``end`` and return the number of triangles that vanish."""
        gone = self._around[start] & self._around[end]
        for triangle in gone:
            self.alive[triangle] = False
            for vertex in self.faces[triangle]:
                self._around[vertex].discard(triangle)
        for triangle in self._around[start]:
            place = self.faces[triangle].tolist().index(start)
            self.faces[triangle, place] = end
            self.corners[triangle, place] = moves[int(self.corners[triangle, place])]
            self._around[end].add(triangle)
        self._around[start] = set()
        self._quadrics[end] += self._quadrics[start]
        self._areas[end] += self._areas[start]
        self._version[start] += 1
        return len(gone)
