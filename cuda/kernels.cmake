# Kernels for the emulator: .cu files as host C++.
#
# gesso_kernels(TARGET plain|checked SOURCES...): an OBJECT library of the files, named from the tree's root.
#   plain    runs at full speed; link it with gesso_emulator.
#   checked  reports each load and store to the checker: -fsanitize=thread,alignment makes the compiler insert calls that
#            cuda/emulator/hooks.cpp answers; libtsan and libubsan are not linked. The emulator itself must run code that
#            is not instrumented, and the linker keeps the first copy of a shared inline function: a checked program
#            lists $<TARGET_OBJECTS:gesso_emulator_objects> before the kernels' objects.
function(gesso_kernels target build)
  foreach(kernel IN LISTS ARGN)
    # A file that includes it: nvcc may compile the very same .cu in this tree as what it is.
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}/${kernel}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${kernel}\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(${target} OBJECT ${sources})
  target_link_libraries(${target} PRIVATE gesso_options)
  # Errors name source lines; of DWARF 5, addr2line of binutils 2.40 names the wrong file for what is included.
  target_compile_options(${target} PRIVATE -gdwarf-4 -g1)
  if(build STREQUAL "checked")
    target_compile_options(${target} PRIVATE -O1 -fno-tree-sra -fsanitize=thread,alignment)
  else()
    target_compile_options(${target} PRIVATE -O2)
  endif()
endfunction()

# The emulator switches stacks and brings its own __tsan functions: it stays out of the sanitizers' builds.
if(NOT GESSO_SANITIZE)
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/emulator/*.cpp)
  add_library(gesso_emulator_objects OBJECT ${emulator_sources})
  target_compile_options(gesso_emulator_objects PRIVATE -O2)
  target_link_libraries(gesso_emulator_objects PRIVATE gesso_options fmt::fmt)
  add_library(gesso_emulator STATIC $<TARGET_OBJECTS:gesso_emulator_objects>)
  target_link_libraries(gesso_emulator PUBLIC gesso_core)
endif()
