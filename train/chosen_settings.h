// The settings that a recipe leaves to gesso ("auto"), chosen by number and sizes of the pictures alone: the same ones
// give the same settings on any machine. What was chosen, and why, is recorded in about.chosen.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "train/dataset.h"
#include "train/recipe.h"

namespace gesso {

// Those that say how data are read. Of a folder it looks at the headers of up to a thousand pictures. Throws
// ErrorKind::data where there are too few pictures to choose by, or too small ones.
void choose_data_settings(RecipeFile& file);

// As above, but chooses as many as the pictures allow where there are too few or too small ones; returns why training
// refuses them, or nothing where it does not.
std::string choose_possible_data_settings(RecipeFile& file);

// All others, by the data that were then opened. The recipe's image shape must be resolved.
void choose_training_settings(RecipeFile& file, const Dataset& train_data);

// The rules, for their tests.

// Of 8, 16, 32, 64 and 128 the largest that the shorter side of three pictures in four reaches; 0: that of too many is
// below 8. 128: the largest that the VQ-VAE paper's models of photographs have (van den Oord et al. 2017, 4.1); time
// grows with the square. shorter_sides: at least one.
std::int64_t chosen_size(std::span<const std::int64_t> shorter_sides);

// The validation share for files at these places (place_of, train/folder_listing.h; at least two): 0.1 where that
// leaves about a tenth of them to test with, else the share that leaves just a tenth, and at least one file on each
// side.
double chosen_validation(std::span<const double> places);

}  // namespace gesso
