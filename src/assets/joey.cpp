#include "assets/joey.h"

namespace wallaby::assets {

Result<std::unique_ptr<gguf::WeightSource>> open_joey() {
    return gguf::open_gguf(std::make_unique<base::MemorySource>(joey_bytes(), std::string(joey_name)));
}

Result<std::unique_ptr<gguf::WeightSource>> open_named(const std::string& name) {
    return name == "joey" ? open_joey() : gguf::open_gguf(name);
}

}  // namespace wallaby::assets
