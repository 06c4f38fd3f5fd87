# Only the readers and what they stand on: a build of all would take ten times as long. Warnings are for the other
# builds, whose compiler they are written for.
set(readers byte_stream cifar_dataset codes_file dataset exif file_calls file_system files history_text idx image jpeg
            json_config json_flatten json_text manifest png safetensors safetensors_header step_record text)
list(TRANSFORM readers PREPEND train/)
list(TRANSFORM readers APPEND .cpp)
add_executable(gesso_fuzz tests/fuzz/main.cpp tests/fuzz_seeds.cpp tests/fuzz_targets.cpp core/shape.cpp
                          core/thread_pool.cpp ${readers})
target_compile_features(gesso_fuzz PRIVATE cxx_std_20)
target_include_directories(gesso_fuzz PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(gesso_fuzz PRIVATE -w -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                       -fno-omit-frame-pointer)
target_precompile_headers(gesso_fuzz PRIVATE <fmt/ranges.h> <nlohmann/json.hpp> <algorithm> <filesystem> <functional>
                          <map> <string> <vector>)
target_link_options(gesso_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
target_link_libraries(gesso_fuzz PRIVATE fmt::fmt Threads::Threads nlohmann_json::nlohmann_json PNG::PNG JPEG::JPEG
                      ZLIB::ZLIB LibLZMA::LibLZMA ${XXHASH_LIBRARY})
# Lists of what is only written out: under the sanitizers they would take as long to compile as all else together.
set_source_files_properties(tests/fuzz_seeds.cpp PROPERTIES COMPILE_OPTIONS "-O0;-fno-sanitize=all"
                            SKIP_PRECOMPILE_HEADERS ON)
