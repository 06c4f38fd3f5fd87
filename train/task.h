// What a trainer trains: a model with its loss, its pictures and its metrics. One implementation a model family.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/vqvae.h"
#include "nn/context.h"
#include "nn/param_store.h"
#include "train/dataset.h"
#include "train/image.h"

namespace gesso {

// A named scalar: of a training step (a [] tensor of the device, read one step late) or of an evaluation.
struct Term {
  std::string name;
  Tensor value;
};
struct Metric {
  std::string name;
  double value = 0;
};

class Task {
 public:
  virtual ~Task() = default;

  virtual const nn::ParamStore& store() const = 0;
  // What turns pictures into codes and back, of the model's own or that it stands on.
  virtual const models::Vqvae& vqvae() const = 0;
  // Before a fresh run: what the task must know of its training data becomes state, so that a checkpoint brings it
  // along.
  virtual void measure(const Dataset& train_data) = 0;
  // Before the first step: what needs its batch (a codebook that starts from encoded images), of which `at_once` images
  // go through the model at a time. images: [N,H,W,C] u8 or u16.
  virtual void start(const nn::Context& context, const Tensor& images, std::int64_t at_once) = 0;
  // Forward pass; the first term is the loss to minimise. Each is a mean over the images, [N,H,W,C] u8 or u16: those of
  // a step, or of its next micro-batch, the first of which is the one where context.first_sample is 0.
  virtual std::vector<Term> losses(const nn::Context& context, const Tensor& images) = 0;
  // After step `step` was asked for, by losses() or by replaying what losses() asked then: keeps what statistics()
  // wants of it.
  virtual void after_step(std::int64_t step) = 0;
  // What the last steps showed beyond their losses (code usage), read from the device. For the log alone.
  virtual std::vector<Metric> statistics() = 0;
  // How often each code occurred in the steps that statistics() speaks of; empty: the model has none.
  virtual std::vector<std::int64_t> code_counts() { return {}; }
  // What statistics() reads, so that a resumed run logs as one that never stopped; empty: the model has none.
  virtual Tensor recent_codes() const { return {}; }
  // Pictures to look at: one for each of images [N,H,W,C] u8 or u16.
  virtual std::vector<Image> reconstruct(const nn::Context& context, const Tensor& images) = 0;
  // The model's own metrics over a whole data set.
  virtual std::vector<Metric> evaluate(const nn::Context& context, const Dataset& data, std::int64_t batch) = 0;
};

}  // namespace gesso
