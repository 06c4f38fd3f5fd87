#include "train/step_times.h"

#include <algorithm>
#include <chrono>

namespace gesso {

double seconds_now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

void Throughput::add(std::int64_t images, double seconds) {
  constexpr std::size_t kWindows = 64;
  rates_.push_back(static_cast<double>(images) / std::max(seconds, 1e-9));
  if (rates_.size() > kWindows) rates_.pop_front();
}

double Throughput::images_per_second() const {
  if (rates_.empty()) return 0;
  std::vector<double> sorted(rates_.begin(), rates_.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

void MovingAverage::add(double value) {
  constexpr int kMost = 50;
  count_ = std::min(count_ + 1, kMost);
  value_ += (value - value_) / count_;
}

void append_spent(std::vector<Metric>& metrics, const TimeSpent& spent, double seconds) {
  metrics.insert(metrics.end(), {{"seconds", seconds},
                                 {"data_share", spent.data / seconds},
                                 {"compute_share", spent.compute / seconds},
                                 {"checkpoint_share", spent.checkpoint / seconds},
                                 {"pictures_share", spent.pictures / seconds}});
}

void append_slowest(std::vector<Metric>& metrics, const StepTime& slowest) {
  if (slowest.step == 0) return;
  metrics.insert(metrics.end(), {{"slowest_step", static_cast<double>(slowest.step)},
                                 {"slowest_seconds", slowest.seconds()},
                                 {"slowest_data", slowest.data},
                                 {"slowest_save", slowest.save},
                                 {"slowest_pictures", slowest.pictures}});
}

}  // namespace gesso
