#!/usr/bin/env bash
# The libraries that a build for 64-bit Arm links, from Debian's packages, in build/aarch64-sysroot. As root, since
# debootstrap makes devices. cmake/aarch64.cmake builds against it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sysroot=build/aarch64-sysroot
libraries=usr/lib/aarch64-linux-gnu
[ -e $sysroot/$libraries/libopenblas.so ] && exit

packages=libstdc++-12-dev,libfaiss-dev,libhwy-dev,libopenblas-openmp-dev,libeigen3-dev,liblbfgs-dev,libsvm-dev,libboost-dev
packages+=,zlib1g-dev,libsqlite3-dev,libsqlitecpp-dev,libssl-dev,libcli11-dev,nlohmann-json3-dev,libtomlplusplus-dev,libgtest-dev
rm -rf $sysroot
mkdir -p build
debootstrap --foreign --arch=arm64 --variant=minbase --include=$packages bookworm $sysroot >build/aarch64-sysroot.log ||
  { tail build/aarch64-sysroot.log >&2 && exit 1; }
# Unpacked is enough: nothing there is installed, and only QEMU looks into it.
for package in $sysroot/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$package" $sysroot; done
rm $sysroot/var/cache/apt/archives/*.deb
# The links that an installation would make by Debian's alternatives, and FAISS's libraries by their places here.
(cd $sysroot/$libraries && ln -s openblas-openmp/lib*.so* .)
grep --recursive --files-with-matches --null ";/$libraries/libblas" $sysroot/$libraries/cmake $sysroot/usr/share |
  xargs --null sed --in-place "s#;/$libraries#;\${CMAKE_SYSROOT}/$libraries#g"
