#include "train/extremes.h"

#include <fmt/format.h>

#include <algorithm>

#include "train/comparison.h"
#include "train/json_text.h"
#include "train/metrics.h"

namespace gesso {
namespace {

// Of the first `count` pictures; empty once asked to stop.
std::vector<PictureError> errors_of(Task& task, const nn::Context& context, const Dataset& data, std::int64_t count,
                                    std::int64_t batch, const std::function<bool()>& asked_to_stop) {
  std::vector<PictureError> errors;
  for (std::int64_t begin = 0; begin < count; begin += batch) {
    if (asked_to_stop()) return {};
    const std::int64_t size = std::min(batch, count - begin);
    const std::vector<Image> made = task.reconstruct(context, read_images(data, begin, size, context.device));
    for (std::int64_t i = 0; i < size; ++i) {
      const std::span<const std::uint8_t> pixels(made[static_cast<std::size_t>(i)].pixels);
      errors.push_back(
          {begin + i, mean_squared_error(std::span<const std::uint8_t>(data.image(begin + i).pixels), pixels)});
    }
  }
  return errors;
}

std::string json_of(std::span<const PictureError> errors) {
  std::vector<std::string> list;
  for (const PictureError& error : errors) {
    JsonObjectText object;
    object.add("index", error.index);
    object.add("mse", error.mse);
    list.push_back(object.in_one_line());
  }
  return fmt::format("[{}]", fmt::join(list, ","));
}

// Throws ErrorKind::data, or what the JSON package throws.
std::vector<PictureError> errors_in(const nlohmann::json& list) {
  std::vector<PictureError> errors;
  for (const nlohmann::json& error : list) {
    if (std::ssize(errors) == Extremes::kMostShown) break;
    errors.push_back({whole_of<std::int64_t>(error.at("index"), "index"), error.at("mse").get<double>()});
  }
  return errors;
}

}  // namespace

Extremes find_extremes(Task& task, const nn::Context& context, const Dataset& test_data, std::int64_t batch,
                       const std::function<bool()>& asked_to_stop) {
  const std::int64_t count = std::min(Extremes::kMostLookedAt, test_data.size());
  const std::int64_t shown =
      std::min({Extremes::kMostShown, count / 2, most_triptychs(test_data.image_shape(), Extremes::kMostShown)});
  Extremes found;
  found.looked_at = count;
  if (shown == 0) return found;
  std::vector<PictureError> errors = errors_of(task, context, test_data, count, batch, asked_to_stop);
  if (errors.empty()) return found;
  std::ranges::stable_sort(errors, {}, &PictureError::mse);
  found.best.assign(errors.begin(), errors.begin() + shown);
  found.worst.assign(errors.rbegin(), errors.rbegin() + shown);
  return found;
}

Image picture_of(std::span<const PictureError> errors, Task& task, const nn::Context& context,
                 const Dataset& test_data) {
  std::vector<Image> before, after;
  for (const PictureError& error : errors) {
    before.push_back(test_data.image(error.index));
    after.push_back(task.reconstruct(context, read_images(test_data, error.index, 1, context.device)).front());
  }
  return triptych_grid(before, after);
}

std::string text_of(const Extremes& extremes) {
  JsonObjectText object;
  object.add("step", extremes.step);
  object.add("looked_at", extremes.looked_at);
  object.add_json("worst", json_of(extremes.worst));
  object.add_json("best", json_of(extremes.best));
  return object.in_one_line() + "\n";
}

std::optional<Extremes> extremes_of(std::string_view text) {
  try {
    const JsonTree tree = parse_json_tree(text, "extremes", ErrorKind::data);
    const nlohmann::json& object = tree.value;
    return Extremes{.step = whole_of<std::int64_t>(object.at("step"), "step"),
                    .looked_at = whole_of<std::int64_t>(object.at("looked_at"), "looked_at"),
                    .worst = errors_in(object.at("worst")),
                    .best = errors_in(object.at("best"))};
  } catch (const Error&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace gesso
