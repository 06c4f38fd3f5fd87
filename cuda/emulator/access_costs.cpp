// What the memory system would do for each request of a warp: cycles of the 32 shared-memory banks, sectors of 32 bytes
// in device memory. The k-th execution of one source line by the lanes of a warp between two collectives is one
// request.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "cuda/emulator/check.h"

namespace gesso::emulator {
namespace {

constexpr unsigned kBanks = 32, kBankBytes = 4, kSectorBytes = 32;

struct Hit {
  std::uint32_t repetition;
  unsigned lane;
  std::size_t bytes;
  AccessKind kind;
  std::uintptr_t address;
  Site site;
};
using Request = std::vector<const Hit*>;

std::map<unsigned, std::vector<Hit>> hits;  // by warp of the block; checked programs run one block at a time
std::map<std::tuple<const void*, int, unsigned, AccessKind>, std::uint32_t> repetitions;  // by site and thread
std::map<std::tuple<const void*, int, AccessKind>, AccessCost> costs;                     // by site

std::uint64_t share_of(std::uint64_t amount, std::uint64_t unit) { return (amount + unit - 1) / unit; }

// 128 bytes a cycle: accesses of 16 bytes go by quarters of a warp, of 8 by halves.
void add_shared(AccessCost& cost, const Request& request) {
  const std::size_t bytes = request[0]->bytes;
  const unsigned lanes = bytes >= 16 ? 8 : bytes == 8 ? 16 : 32;
  for (unsigned first = 0; first < 32; first += lanes) {
    std::set<std::uintptr_t> words;
    std::uint64_t by_bank[kBanks] = {}, worst = 0;
    for (const Hit* hit : request) {
      if (hit->lane < first || hit->lane >= first + lanes) continue;
      for (std::uintptr_t word = hit->address / kBankBytes; word <= (hit->address + hit->bytes - 1) / kBankBytes;
           ++word)
        if (words.insert(word).second) worst = std::max(worst, ++by_bank[word % kBanks]);
    }
    cost.cost += worst;
    cost.at_best += share_of(words.size(), kBanks);
  }
}

void add_global(AccessCost& cost, const Request& request) {
  std::set<std::uintptr_t> sectors, bytes;
  for (const Hit* hit : request)
    for (std::uintptr_t i = hit->address; i < hit->address + hit->bytes; ++i) {
      sectors.insert(i / kSectorBytes);
      bytes.insert(i);
    }
  cost.cost += sectors.size();
  cost.at_best += share_of(bytes.size(), kSectorBytes);
}

}  // namespace

std::string_view name_of(AccessKind kind) {
  constexpr std::string_view kNames[] = {"global load", "global store", "shared load", "shared store"};
  return kNames[static_cast<std::size_t>(kind)];
}

void record_access(const void* memory, std::size_t bytes, bool shared, bool store, Site site) {
  const AccessKind kind = shared ? (store ? AccessKind::shared_store : AccessKind::shared_load)
                                 : (store ? AccessKind::global_store : AccessKind::global_load);
  const std::uint32_t repetition = repetitions[{site.key, site.line, current->linear, kind}]++;
  hits[current->warp].push_back(
      {repetition, current->lane, bytes, kind, reinterpret_cast<std::uintptr_t>(memory), site});
}

void close_requests(unsigned warp) {
  std::vector<Hit>& closed = hits[warp];
  if (closed.empty()) return;
  std::map<std::tuple<const void*, int, std::uint32_t, AccessKind>, Request> requests;
  for (const Hit& hit : closed) requests[{hit.site.key, hit.site.line, hit.repetition, hit.kind}].push_back(&hit);
  for (const auto& [key, request] : requests) {
    const Hit& hit = *request[0];
    AccessCost& cost = costs[{hit.site.key, hit.site.line, hit.kind}];
    ++cost.requests;
    if (hit.kind == AccessKind::shared_load || hit.kind == AccessKind::shared_store)
      add_shared(cost, request);
    else
      add_global(cost, request);
  }
  closed.clear();
  std::erase_if(repetitions, [warp](const auto& entry) { return std::get<2>(entry.first) / 32 == warp; });
}

std::vector<AccessCost> take_access_costs() {
  std::map<std::pair<std::string, AccessKind>, AccessCost> lines;
  for (const auto& [key, cost] : costs) {
    const auto& [file, line, kind] = key;
    const std::string source = source_line({file, line});
    AccessCost& sum = lines[{source, kind}];
    sum.source = source;
    sum.kind = kind;
    sum.requests += cost.requests;
    sum.cost += cost.cost;
    sum.at_best += cost.at_best;
  }
  costs.clear();
  hits.clear();  // of launches that failed
  repetitions.clear();
  std::vector<AccessCost> result;
  for (auto& [key, cost] : lines) result.push_back(std::move(cost));
  return result;
}

}  // namespace gesso::emulator
