"""Poolwise as a Conan package, of the tree that this file stands in. Its libraries are the system's: Conan Center has not all."""

import pathlib
import re

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load
from conan.tools.system.package_manager import Apt

TREE = pathlib.Path(__file__).resolve().parents[3]


class Poolwise(ConanFile):
    name = "poolwise"
    description = "A selection engine for pool-based active learning"
    license = "Apache-2.0"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "cuda": [True, False]}
    default_options = {"shared": False, "cuda": False}

    def set_version(self):
        self.version = re.search(r"project\(poolwise VERSION ([0-9.]+)", load(self, TREE / "CMakeLists.txt"))[1]

    def export_sources(self):
        for part in ("CMakeLists.txt", "LICENSE", "bindings/*", "cmake/*", "data/*", "engine/*", "kernels/*"):
            copy(self, part, TREE, self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def system_requirements(self):
        Apt(self).install(["libfaiss-dev", "libhwy-dev", "libopenblas-openmp-dev", "libeigen3-dev", "liblbfgs-dev", "libsvm-dev",
                           "libboost-dev", "zlib1g-dev", "libsqlite3-dev", "libsqlitecpp-dev", "libssl-dev", "libcli11-dev",
                           "nlohmann-json3-dev", "libtomlplusplus-dev"], check=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update(POOLWISE_TESTS="OFF", POOLWISE_BENCH="OFF", POOLWISE_PYTHON_MODULE="OFF",
                                         POOLWISE_CUDA="ON" if self.options.cuda else "OFF",
                                         BUILD_SHARED_LIBS="ON" if self.options.shared else "OFF")
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, pathlib.Path(self.package_folder, "licenses"))

    def package_info(self):
        # Our own CMake package knows its targets and what they need.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs.append("lib/cmake/poolwise")
