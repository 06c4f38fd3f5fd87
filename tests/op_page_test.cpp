#include <doctest/doctest.h>

#include "ops/check/page.h"
#include "ops/op_list.h"
#include "tests/support.h"
#include "train/files.h"

namespace gesso {
namespace {

TEST_SUITE("op page") {
  TEST_CASE("docs/ops.md is what the rows say") {
    const std::string page = read_text_file(source_directory() / "docs/ops.md", 1 << 22);
    CHECK_MESSAGE(page == check::markdown_page(all_rows()),
                  "renew it with: build/release/gesso check --markdown > docs/ops.md");
  }
}

}  // namespace
}  // namespace gesso
