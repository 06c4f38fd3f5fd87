#include <fmt/core.h>

#include "models/vqvae.h"
#include "nn/optimizer.h"
#include "ops/binary.h"
#include "ops/loss.h"
#include "train/comparison.h"
#include "train/pixel_range.h"
#include "train/shapes_dataset.h"

int main() {
  using namespace gesso;
  Device& cpu = device(DeviceKind::cpu);
  const auto data = make_shapes_dataset({.count = 4096, .image_size = 16}, Split::train);
  nn::ParamStore store;
  const models::Vqvae model(nn::Scope(store),
                            {.height = 16, .width = 16, .channels = 3, .hidden = 32, .residual_hidden = 16});
  store.materialize(cpu, /*seed=*/1);
  nn::Optimizer optimizer(store, {.kind = nn::OptimizerKind::adamw, .clip_norm = 1});
  const nn::StepState state(cpu);
  nn::StateUpdates updates;  // what a step changes beside the weights: the codebook
  const nn::Context context{.device = cpu, .mode = nn::Mode::train, .state = state, .updates = updates, .seed = 1};
  for (int step = 0; step < 100; ++step) {
    state.set(step, /*learning rate=*/2e-3);
    const Tensor x = normalise_images(read_images(*data, step * 16 % 4096, 16, cpu));  // [16,16,16,3] f32
    if (step == 0) model.quantizer.start_from(model.encoder(context, x), /*key=*/1);
    Tape tape;
    store.watch(tape);
    const auto [reconstruction, quantized] = model(context, x);
    const Tensor loss = ops::add(ops::mse(reconstruction, x), quantized.loss);
    tape.backward(loss);
    optimizer.step(context);  // clips, moves the weights, commits the codebook
    if (step % 20 == 0) fmt::print("step {} loss {:.4f}\n", step, loss.to_host<float>()[0]);
  }
}
