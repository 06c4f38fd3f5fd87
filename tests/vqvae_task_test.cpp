// What training a VQ-VAE keeps between two lines of its log.
#include "train/vqvae_task.h"

#include <doctest/doctest.h>

#include <memory>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"
#include "tests/pattern_dataset.h"
#include "train/comparison.h"

namespace gesso {
namespace {

// The CPU, under another's eyes: how many copies to the host are held.
class CountingDevice final : public Device {
 public:
  CountingDevice() : Device(DeviceKind::cpu) {}
  ~CountingDevice() override { allocator().trim(); }

  void* allocate(std::size_t bytes) override { return cpu_.allocate(bytes); }
  void release(void* memory, std::size_t bytes) noexcept override { cpu_.release(memory, bytes); }
  void copy_from_host(void* to, const void* from, std::size_t bytes) override { cpu_.copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { cpu_.copy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { cpu_.copy(to, from, bytes); }
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override { cpu_.fill_bytes(to, value, bytes); }
  void accumulate(DType dtype, std::int64_t n, const void* x, void* y) override { cpu_.accumulate(dtype, n, x, y); }
  void synchronize() override {}
  void fill(DType dtype, std::int64_t n, double value, void* y) override { cpu_.fill(dtype, n, value, y); }
  std::unique_ptr<HostCopy> start_copy_to_host(const void* from, std::size_t bytes) override {
    return std::make_unique<CountedCopy>(held, cpu_.start_copy_to_host(from, bytes));
  }

  int held = 0;

 private:
  class CountedCopy final : public HostCopy {
   public:
    CountedCopy(int& held, std::unique_ptr<HostCopy> copy) : held_(held), copy_(std::move(copy)) { ++held_; }
    ~CountedCopy() override { --held_; }
    std::span<const std::byte> wait() override { return copy_->wait(); }

   private:
    int& held_;
    std::unique_ptr<HostCopy> copy_;
  };
  Device& cpu_ = device(DeviceKind::cpu);
};

double named(const std::vector<Metric>& metrics, std::string_view name) {
  for (const Metric& metric : metrics)
    if (metric.name == name) return metric.value;
  FAIL("no metric ", name);
  return 0;
}

TEST_SUITE("vqvae task") {
  TEST_CASE("of the codes of many steps no more are kept than the usage counts, and it counts the same") {
    CountingDevice device;
    VqvaeTask task({.model = {.height = 8,
                              .width = 8,
                              .channels = 1,
                              .hidden = 8,
                              .residual_hidden = 4,
                              .residual_blocks = 1,
                              .quantizer = {.codes = 16, .width = 4}}},
                   device);
    const PatternDataset data({8, 8, 1}, 2048);  // 8192 codes: an eighth of the window
    task.measure(data);
    const Tensor images = read_images(data, 0, data.size(), device);
    const nn::StepState state(device);
    nn::StateUpdates updates;
    (void)task.losses({.device = device, .state = state, .updates = updates}, images);
    task.after_step();
    const double once = named(task.statistics(), "perplexity");
    for (int step = 0; step < 40; ++step) task.after_step();
    CHECK(device.held == 8);
    CHECK(named(task.statistics(), "perplexity") == doctest::Approx(once));
    CHECK(device.held == 0);
    const std::vector<std::int64_t> counts = task.code_counts();
    CHECK(counts.size() == 16);
    CHECK(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == CodeUsage::kWindow);
  }
}

}  // namespace
}  // namespace gesso
