// What list_cuda_devices sees: on any machine, and (as the CTest tests gpusim.*) on simulated devices.
#include "poolwise/core/devices.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace poolwise {
namespace {

TEST(Devices, ThereAreSomeOrAReason) {
  const auto status = list_cuda_devices();
  EXPECT_EQ(status.devices.empty(), !status.missing.empty());
  if (!status.devices.empty()) return;
  EXPECT_EQ(status.missing.rfind("list_cuda_devices: ", 0), 0u) << status.missing;
  EXPECT_NE(status.missing.find("; "), std::string::npos) << "no advice: " << status.missing;
#ifdef POOLWISE_HAS_CUDA
  EXPECT_NE(status.missing.find("the CUDA runtime finds no GPU"), std::string::npos) << status.missing;
#else
  EXPECT_NE(status.missing.find("-DPOOLWISE_CUDA=ON"), std::string::npos) << status.missing;
#endif
}

TEST(Devices, AreThereAgainWhenAskedAgain) {
  const auto first = list_cuda_devices(), second = list_cuda_devices();
  EXPECT_EQ(first.missing, second.missing);
  ASSERT_EQ(first.devices.size(), second.devices.size());
  for (std::size_t i = 0; i < first.devices.size(); ++i)
    EXPECT_EQ(first.devices[i].name, second.devices[i].name);
}

// The settings that these expect are in tests/CMakeLists.txt, test by test.
class SimulatedDevices : public testing::Test {
 protected:
  void SetUp() override {
#ifndef POOLWISE_HAS_CUDA
    GTEST_SKIP() << "this build has no CUDA runtime";
#endif
    if (std::getenv("GPUSIM_DEVICES") == nullptr) GTEST_SKIP() << "runs under gpusim-run only";
  }
};

TEST_F(SimulatedDevices, AreListedEachWithItsFigures) {
  const auto status = list_cuda_devices(true);
  ASSERT_EQ(status.devices.size(), 2u) << status.missing;
  for (std::size_t i = 0; i < status.devices.size(); ++i) {
    const auto& device = status.devices[i];
    EXPECT_EQ(device.index, int(i));
    EXPECT_FALSE(device.name.empty());
    EXPECT_EQ(device.capability_major, 9);
    EXPECT_EQ(device.capability_minor, 0);
    EXPECT_EQ(device.multiprocessors, 6);
    EXPECT_EQ(device.memory_bytes, std::size_t(512) << 20);
    EXPECT_GT(device.free_bytes, 0u);
    EXPECT_LE(device.free_bytes, device.memory_bytes);
  }
}

TEST_F(SimulatedDevices, AFailingDriverIsAReason) {
  const auto status = list_cuda_devices(true);
  EXPECT_TRUE(status.devices.empty());
  EXPECT_NE(status.missing.find("install the NVIDIA driver"), std::string::npos) << status.missing;
}

TEST_F(SimulatedDevices, AClosedDeviceIsListedWithoutItsFreeMemory) {
  const auto status = list_cuda_devices(true);
  ASSERT_EQ(status.devices.size(), 2u) << status.missing;
  EXPECT_EQ(status.devices[0].free_bytes, 0u);
  EXPECT_EQ(status.devices[0].multiprocessors, 6);
  EXPECT_GT(status.devices[1].free_bytes, 0u);
}

}  // namespace
}  // namespace poolwise
