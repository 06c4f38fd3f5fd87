#include "cuda/emulator/warp_matrix.h"

#include <bit>
#include <cstring>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

struct LoadArgument {
  std::uint32_t* registers;
  const void* row;
  bool transposed;
};

// Lane l receives elements 2(l%4), 2(l%4)+1 of row l/4 of each matrix, or of column l/4 where transposed.
void load_all(void* const* arguments, unsigned) {
  std::uint16_t matrix[4][8][8];
  for (int i = 0; i < 4; ++i)
    for (int row = 0; row < 8; ++row)
      std::memcpy(matrix[i][row], static_cast<LoadArgument*>(arguments[i * 8 + row])->row, sizeof matrix[i][row]);
  for (int lane = 0; lane < 32; ++lane) {
    const auto& argument = *static_cast<LoadArgument*>(arguments[lane]);
    const int line = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const auto& m = matrix[i];
      const std::uint32_t low = argument.transposed ? m[pair][line] : m[line][pair];
      const std::uint32_t high = argument.transposed ? m[pair + 1][line] : m[line][pair + 1];
      argument.registers[i] = low | high << 16;
    }
  }
}

struct MmaArgument {
  float* d;
  const std::uint32_t* a;
  std::uint32_t b[2];
};

// The bf16 in the low or high half of a register, as float.
float half_of(std::uint32_t word, int half) { return std::bit_cast<float>(half ? word & 0xffff0000u : word << 16); }

// Fragments of mma.m16n8k16, with g = lane/4 and t = 2(lane%4):
//   A: register 0 (g, t..) 1 (g+8, t..) 2 (g, t+8..) 3 (g+8, t+8..)   B: 0 (t.., g) 1 (t+8.., g)
//   D: 0, 1 (g, t..) 2, 3 (g+8, t..)
void multiply_all(void* const* arguments, unsigned) {
  float a[16][16], b[8][16];  // [m, k], [n, k]
  for (int lane = 0; lane < 32; ++lane) {
    const auto& argument = *static_cast<MmaArgument*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 8 + half] = half_of(argument.a[i], half);
      for (int i = 0; i < 2; ++i) b[g][t + i * 8 + half] = half_of(argument.b[i], half);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* d = static_cast<MmaArgument*>(arguments[lane])->d;
    for (int i = 0; i < 4; ++i) {
      const float *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
      d[i] += sum;
    }
  }
}

}  // namespace

void ldmatrix_x4(std::uint32_t (&registers)[4], const void* row, bool transposed, const Place& place) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16) stop("ldmatrix" + at(place) + ": a row is not 16-byte aligned");
  if (current->block->offset(row) >= kArena) stop("ldmatrix" + at(place) + ": a row is not in shared memory");
  touch(row, 16, Access::read, site_of(place));
  LoadArgument argument{registers, row, transposed};
  warp_collective(kAllLanes, "ldmatrix", load_all, &argument, false, place);
}

void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1, const Place& place) {
  MmaArgument argument{d, a, {b0, b1}};
  warp_collective(kAllLanes, "mma.m16n8k16", multiply_all, &argument, false, place);
}

}  // namespace gesso::emulator
