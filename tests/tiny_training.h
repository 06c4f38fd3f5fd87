// The smallest training of the program, for tests that run it many times.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "train/files.h"

namespace gesso {

constexpr std::int64_t kForever = 1'000'000'000;  // steps

// Saves after every step and does little else; `more` has the last word.
inline std::vector<std::string> tiny_training(const Path& run, std::int64_t steps, bool resume,
                                              const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"train",
                                    "vqvae-shapes",
                                    "--out",
                                    run,
                                    fmt::format("train.steps={}", steps),
                                    "checkpoint.every=1",
                                    "checkpoint.keep=2",
                                    "sample.every=1000000",
                                    "sample.count=1",
                                    "log.every=100"};
  const std::vector<std::string> fixed = {"train.batch=2",     "data.size=8",        "data.count=8",
                                          "data.test_count=2", "model.hidden=2",     "model.residual_hidden=1",
                                          "model.codes=4",     "model.code_width=2", "schedule.horizon=1000000"};
  if (resume)
    words.push_back("--resume");
  else
    words.insert(words.end(), fixed.begin(), fixed.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// How often a test repeats something: the variable of that name, else `everyday`.
inline int times(const char* variable, int everyday) {
  const char* text = std::getenv(variable);
  return text ? std::atoi(text) : everyday;
}

}  // namespace gesso
