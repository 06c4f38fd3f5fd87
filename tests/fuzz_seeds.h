// What the fuzzer starts from, made anew each time: no files of unknown origin lie in the tree.
#pragma once

#include <string>
#include <vector>

namespace gesso::seeds {

std::vector<std::string> safetensors();
std::vector<std::string> codes();
std::vector<std::string> idx();
std::vector<std::string> gzip_packed();
std::vector<std::string> xz_packed();
std::vector<std::string> cifar();
std::vector<std::string> png();
std::vector<std::string> jpeg();
std::vector<std::string> exif();
std::vector<std::string> config();
std::vector<std::string> manifest();
std::vector<std::string> history();
std::vector<std::string> step_record();

}  // namespace gesso::seeds
