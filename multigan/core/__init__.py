"""Contracts, recipes and serialization. Imports no other part of multigan."""

COMPONENTS = {
    "DiscriminatorRefiner": "multigan.core.refinement:DiscriminatorRefiner",
    "ModuleDiscriminator": "multigan.core.adapters:ModuleDiscriminator",
    "ModuleGenerator": "multigan.core.adapters:ModuleGenerator",
    "Networks": "multigan.core.adapters:Networks",
}
