// What is averaged and summed up over training steps for those who watch: where their time goes, above all. Seconds are
// those of the training thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "train/task.h"

namespace gesso {

double seconds_now();  // since some moment

// Images a second: the median of the last windows, so that a pause for a checkpoint or for pictures does not count.
class Throughput {
 public:
  void add(std::int64_t images, double seconds);
  double images_per_second() const;  // 0: nothing was added yet

 private:
  std::deque<double> rates_;
};

// Of all values up to the fiftieth; from then on recent ones weigh more.
class MovingAverage {
 public:
  void add(double value);
  double value() const { return value_; }

 private:
  double value_ = 0;
  int count_ = 0;
};

// Of a log interval.
struct TimeSpent {
  double begin = seconds_now(), data = 0, compute = 0, checkpoint = 0, pictures = 0;
};

// seconds, data_share, compute_share, checkpoint_share and pictures_share of an interval of `seconds`.
void append_spent(std::vector<Metric>& metrics, const TimeSpent& spent, double seconds);

struct StepTime {
  std::int64_t step = 0;  // 0: none
  double data = 0;        // waiting for the batch
  double compute = 0;     // forward, backward, update
  double save = 0;        // copying the state to be saved, and waiting for the save before
  double pictures = 0;    // making and writing pictures

  double seconds() const { return data + compute + save + pictures; }
};

// slowest_step, slowest_seconds, slowest_data, slowest_save and slowest_pictures, where there is a step.
void append_slowest(std::vector<Metric>& metrics, const StepTime& slowest);

}  // namespace gesso
