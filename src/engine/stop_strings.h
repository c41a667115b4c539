// Ends a text at the first of several strings to be complete, though text comes in pieces: what may still become one is
// held back.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::engine {

class StopStrings {
  public:
    explicit StopStrings(std::vector<std::string> stops);

    // Takes the next piece and returns the text that is certain by now. Once stopped() it returns nothing more.
    std::string push(std::string_view piece);
    // The text held back, at the end of the generation.
    std::string flush();
    bool stopped() const { return stopped_; }
    void reset();

  private:
    std::vector<std::string> stops_;  // none empty
    std::string held_;
    bool stopped_ = false;
};

}  // namespace wallaby::engine
